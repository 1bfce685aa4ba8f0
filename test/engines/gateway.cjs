/*
 * gateway.cjs -- how a gateway passes on what an engine's function returns or throws.
 *
 * Contract: ours, after WAHA's form (NestJS): a value as JSON under 201, a text as it is, nothing as an empty body, an
 * error as a 500 with the exception's message and own fields.  No stack, path or time, so that the same engine gives
 * the same text on any machine.
 */
function value(what) {
	if (what === undefined || what === null)
		return {status: 201, text: ''};
	return typeof what === 'string' ? {status: 201, text: what} : {status: 201, json: JSON.parse(JSON.stringify(what))};
}

function failure(error) {
	const exception = {message: error.message, name: error.name, ...error};
	const text = JSON.stringify({statusCode: 500, exception}, (key, field) => key === 'stack' ? undefined : field);
	return {status: 500, json: JSON.parse(text)};
}

// A function's result or error as an HTTP answer.
async function pass(call) {
	try {
		return value(await call());
	} catch (error) {
		return failure(error);
	}
}

// check-exists: an id, and whether it is registered.
function exists(found) {
	return found?.exists ? {numberExists: true, chatId: String(found.jid).replace('@s.whatsapp.net', '@c.us')} : {numberExists: false};
}

// The list of join requests, of Baileys ({jid, phone_number, ...}) or of whatsapp-web.js ({id, addedBy, ...}).
function joinRequests(list) {
	return list.map((one) => one.jid ?
		{requesterId: one.jid, requesterPn: one.phone_number, requestMethod: one.request_method, timestamp: Number(one.request_time)} :
		{requesterId: one.id._serialized, addedById: one.addedBy._serialized, parentGroupId: one.parentGroupId,
			requestMethod: one.requestMethod.replace(/(?!^)[A-Z]/g, '_$&').toLowerCase(), timestamp: one.t});
}

// Limits of an account; times in seconds.
function timelock({isActive, enforcementType, timeEnforcementEnds}) {
	return {isActive, enforcementType, timeEnforcementEnds: timeEnforcementEnds ? timeEnforcementEnds.getTime() / 1000 : null};
}

function capping(one) {
	return {cappingStatus: one.capping_status, totalQuota: one.total_quota, usedQuota: one.used_quota,
		cycleStart: Number(one.cycle_start_timestamp), cycleEnd: Number(one.cycle_end_timestamp)};
}

module.exports = {pass, exists, joinRequests, timelock, capping};
