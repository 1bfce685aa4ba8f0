// PgJDBC: the twelve acts; see ../README.md.  An array is made by createArrayOf, an interval is a text with a cast.

import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class Jdbc {
	static final String NUMBER = System.getenv("WAWP_CLIENT_NUMBER");
	static Connection db;

	interface Act { String run() throws Exception; }

	static String group(int act) { return String.format("12036351%s%08d@g.us", NUMBER, act); }
	static String person(int act, int i) { return String.format("156%s%02d%04d", NUMBER, act, i); }
	static String person(int act) { return person(act, 0); }

	static Connection connect(String user) throws SQLException {
		return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/postgres", user, "");
	}

	static List<List<Object>> rows(String sql, Object... values) throws SQLException {
		try (PreparedStatement statement = db.prepareStatement(sql)) {
			for (int i = 0; i < values.length; i++) {
				if (values[i] instanceof String[]) statement.setArray(i + 1, db.createArrayOf("text", (String[]) values[i]));
				else statement.setObject(i + 1, values[i], Types.VARCHAR);
			}
			List<List<Object>> found = new ArrayList<>();
			try (ResultSet result = statement.executeQuery()) {
				int columns = result.getMetaData().getColumnCount();
				while (result.next()) {
					List<Object> row = new ArrayList<>();
					for (int i = 1; i <= columns; i++) row.add(result.getObject(i));
					found.add(row);
				}
			}
			return found;
		}
	}

	static void execute(String sql) throws SQLException {
		try (Statement statement = db.createStatement()) { statement.execute(sql); }
	}

	static List<List<Object>> call(String to, String... people) throws SQLException {
		return rows("SELECT jid, outcome::text FROM wawp_add_participants(?, ?, instance => 'support')", to, people);
	}

	static List<List<Object>> request(String to, String batch, String... people) throws SQLException {
		return rows("SELECT id, jid, created, problem, batch_id FROM wawp_request_add(?, ?, instance => 'support', reason => ?, batch_id => ?)",
			to, people, "a reason", batch);
	}

	static long queued(String to) throws SQLException {
		return (Long) rows("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = ?", to).get(0).get(0);
	}

	static String same(Object have, Object want, String what) {
		if (!have.equals(want)) throw new AssertionError(what + ": " + have);
		return null;
	}

	static String refused(Act body, String sqlstate) throws Exception {
		try { body.run(); } catch (SQLException error) {
			if (sqlstate.equals(error.getSQLState())) return null;
			throw error;
		}
		throw new AssertionError("not refused with " + sqlstate);
	}

	static String transaction(Act body) throws Exception {
		db.setAutoCommit(false);
		try {
			body.run();
			db.commit();
			return null;
		} catch (Exception error) {
			db.rollback();
			throw error;
		} finally { db.setAutoCommit(true); }
	}

	static String insert(int act, int count) throws SQLException {
		try (PreparedStatement statement = db.prepareStatement("INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason) VALUES (?, ?, ?, ?)")) {
			for (int i = 0; i < count; i++) {
				String[] values = {group(act), person(act, i), "support", "a row of a batch"};
				for (int column = 0; column < values.length; column++) statement.setString(column + 1, values[column]);
				statement.addBatch();
			}
			statement.executeBatch();
		}
		return same(queued(group(act)), (long) count, "rows");
	}

	static String numbers(String sql) throws SQLException {
		try (PreparedStatement statement = db.prepareStatement(sql)) {
			statement.setString(1, group(7));
			statement.setArray(2, db.createArrayOf("bigint", new Long[] {Long.valueOf(person(7, 1))}));
			statement.setLong(3, 5);
			try (ResultSet result = statement.executeQuery()) { return same(result.next() && result.getBoolean(1), true, "numbers"); }
		}
	}

	static String listen() throws Exception {
		execute("LISTEN wawp");
		request(group(10), null, person(10));
		PGNotification[] heard;
		do { heard = db.unwrap(PGConnection.class).getNotifications(1000); } while (heard == null || heard.length == 0);
		return same(heard[0].getParameter().contains("\"state\": \"done\""), true, "heard");
	}

	static String asStranger() throws Exception {
		Connection own = db;
		try (Connection stranger = connect("stranger")) {
			db = stranger;
			return refused(() -> { request(group(12), null, person(12)); return null; }, "42501");
		} finally { db = own; }
	}

	public static void main(String[] arguments) throws Exception {
		db = connect("app");
		Map<String, Act> acts = new LinkedHashMap<>();
		acts.put("call", () -> {
			List<List<Object>> rows = call(group(1), person(1));
			same(rows.size() + " " + rows.get(0).get(0), "1 " + person(1) + "@c.us", "rows");
			return same(List.of("accepted", "added").contains(rows.get(0).get(1)), true, "outcome");
		});
		acts.put("request", () -> same(request(group(2), null, person(2)).get(0).subList(1, 3), Arrays.asList(person(2) + "@c.us", true), "row"));
		acts.put("insert", () -> insert(3, 1));
		acts.put("bulk", () -> insert(4, 50));
		acts.put("trigger", () -> {
			execute("INSERT INTO app.shift (group_jid, phone) VALUES ('" + group(5) + "', '" + person(5) + "')");
			return same(queued(group(5)), 1L, "rows");
		});
		acts.put("timeout", () -> refused(() -> transaction(() -> {
			execute("SET LOCAL statement_timeout = '300ms'");
			call(System.getenv("WAWP_HANGING_GROUP"), person(6));
			return null;
		}), "57014"));
		acts.put("arrays", () -> {
			List<List<Object>> rows = request(group(7), null, person(7), null, "nobody");
			same(Arrays.asList(rows.get(0).get(2), rows.get(1).get(2), rows.get(2).get(2)), Arrays.asList(true, false, false), "created");
			same(request(group(7), null).size(), 0, "no people");
			refused(() -> { rows("SELECT pending FROM wawp_wait(?, ?)", "nothing", "1 s"); return null; }, "42883");
			refused(() -> numbers("SELECT created FROM wawp_request_add(?, ?, instance => 'support', priority => ?::int)"), "42883");
			refused(() -> numbers("SELECT created FROM wawp_request_add(?, ?::text[], instance => 'support', priority => ?)"), "42883");
			return numbers("SELECT created FROM wawp_request_add(?, ?::text[], instance => 'support', priority => ?::int)");
		});
		acts.put("rollback", () -> {
			try {
				transaction(() -> { request(group(8), null, person(8)); throw new IllegalStateException("roll back"); });
			} catch (IllegalStateException error) { same(queued(group(8)), 0L, "after the rollback"); }
			transaction(() -> {
				rows("SELECT set_config('wawp.actor', ?, true)", "clerk 7");
				request(group(8), null, person(8));
				return null;
			});
			return same(rows("SELECT requested_from ->> 'actor' FROM wawp.membership_intent WHERE group_jid = ?", group(8)),
				List.of(List.of("clerk 7")), "after the commit, the actor");
		});
		acts.put("wait", () -> {
			request(group(9), "batch " + NUMBER, person(9), person(9, 1));
			return same(rows("SELECT pending, done FROM wawp_wait(?, ?::interval)", "batch " + NUMBER, "60 s").get(0), Arrays.asList(0L, 2L), "pending, done");
		});
		acts.put("notify", Jdbc::listen);
		acts.put("readonly", () -> refused(() -> transaction(() -> { execute("SET TRANSACTION READ ONLY"); call(group(11), person(11)); return null; }), "25006"));
		acts.put("stranger", Jdbc::asStranger);
		for (Map.Entry<String, Act> act : acts.entrySet()) {
			try {
				act.getValue().run();
				System.out.println(act.getKey() + "\tok\t");
			} catch (Throwable error) {
				System.out.println(act.getKey() + "\tfail\t" + String.valueOf(error.getMessage()).replaceAll("\\s+", " "));
			}
		}
	}
}
