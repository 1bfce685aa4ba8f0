-- reset_simulator.sql: the simulator's default world, no rules, an empty ledger.
\! test/simulator/ctl $WAWP_SIM_PORT reset >/dev/null
\set received_n 0
