/*
 * whatsapp.cjs -- what WhatsApp says in each case: the input of the engines, made by hand.
 *
 * Contract: people are numbers 0, 1, 2 ... of a case; phone() and lid() name them.  A case of Baileys has the questions
 * a gateway asks of it (asks), whom they are about (who) and WhatsApp's answers by the first node of what is asked
 * (said: nodes, an {error}, "closed", or nothing at all); a case of whatsapp-web.js has what the page holds (page) and what its
 * requests answer (said).
 */
const group = '120363012345678901@g.us';
const me = '15550000001@s.whatsapp.net';
const meLid = '900000000000001@lid';
const digits = (who) => String(7650000 + who);
const phone = (who) => `1555${digits(who)}@s.whatsapp.net`;
const lid = (who) => `90000000${digits(who)}@lid`;

const node = (tag, attrs = {}, content) => ({tag, attrs, ...(content !== undefined && {content})});
const person = (jid, attrs = {}, content) => node('participant', {jid, ...attrs}, content);
const failed = (who, error, content) => person(phone(who), {error}, content);
const us = person(me, {type: 'superadmin'});
const usByLid = person(meLid, {phone_number: me, type: 'superadmin'});

function described(people, attrs = {}, flags = []) {
	return [node('group', {id: '120363012345678901', subject: 'Support', creation: '1700000000', s_t: '1700000000',
		creator: me, size: String(people.length), ...attrs}, [...flags, ...people])];
}

// A list that is read after person 0 was added; members, the group's attributes, its flags.
const list = (name, ...about) => ({name, who: [0], asks: ['group', 'participants'], said: {query: described(...about)}});
const change = (name, what, who, people) => ({name, who, asks: [what], said: {[what]: [node(what, {}, people)]}});
const refused = (code, text) => ({name: `request refused: ${code}`, who: [0], asks: ['add', 'group', ...(code === 403 ? ['requests'] : [])],
	said: {any: {error: {code: String(code), text}}}});

const card = [node('add_request', {code: 'Xy7Zz0Aa1Bb2Cc3D', expiration: '1796300000'})];
const approval = (error) => [node('membership_approval_request', error ? {error} : {})];
const allMayAdd = node('member_add_mode', {}, Buffer.from('all_member_add'));
const approves = node('membership_approval_mode', {}, [node('group_join', {state: 'on'})]);

const usync = (users, result) => ({usync: [node('usync', {}, [...(result ? [node('result', {}, result)] : []), node('list', {}, users)])]});
const user = (attrs, ...protocols) => node('user', attrs, protocols);
const contact = (type) => node('contact', {type}, Buffer.from(`+1555${digits(0)}`));

const notice = (child, attrs = {}) => node('notification', {id: 'N1', from: group, type: 'w:gp2', t: '1796000000', ...attrs}, [child]);
const event = (name, child, attrs) => ({name: `event: ${name}`, asks: ['event'], event: notice(child, attrs)});

const limits = (name, ask, path, value) => ({name, asks: [ask], since: '7', said: {query: [node('result', {}, Buffer.from(JSON.stringify({data: {[path]: value}})))]}});

const baileys = [
	// ---- what an answer says of people
	change('added', 'add', [0], [person(phone(0))]),
	...['401', '403', '404', '405', '406', '408', '409', '412', '417', '419', '423', '451', '500', '999'].map((code) =>
		change(`the person: ${code}`, 'add', [0], [failed(0, code, code === '403' ? card : undefined)])),
	change('a code for each', 'add', [0, 1, 2], [failed(2, '404'), failed(1, '409'), person(phone(0))]),
	change('not addressable', 'add', [0], [person(phone(0), {error: '403', addressable: 'false'})]),
	change('to be approved', 'add', [0], [failed(0, '421', approval())]),
	change('asked for approval before', 'add', [0], [failed(0, '421', approval('304'))]),
	change('too many wait for approval', 'add', [0], [failed(0, '421', approval('419'))]),
	change('LIDs in another order, phones beside them', 'add', [0, 1], [
		person(lid(1), {error: '408', phone_number: phone(1)}), person(lid(0), {phone_number: phone(0)})]),
	change('LIDs in another order, no phones', 'add', [0, 1], [person(lid(1), {error: '408'}), person(lid(0))]),
	change('one LID, no phone', 'add', [0], [person(lid(0), {error: '403'}, card)]),
	change('phones with LIDs beside them', 'add', [0, 1], [person(phone(1), {lid: lid(1), error: '408'}), person(phone(0), {lid: lid(0)})]),
	change('hosted', 'add', [0], [person(phone(0).replace('s.whatsapp.net', 'hosted'))]),
	change('hosted LID, phone beside it', 'add', [0], [person(lid(0).replace('@', '@hosted.'), {phone_number: phone(0)})]),
	change('one of two left out', 'add', [0, 1], [person(phone(0))]),
	change('nobody in the answer', 'add', [0], []),
	{name: 'an empty answer', who: [0], asks: ['add', 'requests'], said: {any: []}},
	{name: 'no answer', who: [0], asks: ['add', 'group', 'requests', 'exists', 'invite'], said: {}},
	{name: 'connection lost', who: [0], asks: ['add', 'group', 'exists'], said: {any: 'closed'}},
	{name: 'not connected', who: [0], asks: ['add', 'group', 'exists'], offline: true},

	change('removed', 'remove', [0], [person(phone(0))]),
	change('removed, answered by LID', 'remove', [0], [person(lid(0), {phone_number: phone(0)})]),
	change('removed: no member', 'remove', [0], [failed(0, '404')]),
	change('removed: nobody in the answer', 'remove', [0], []),
	change('promoted', 'promote', [0], [person(phone(0))]),
	change('promoted: no member', 'promote', [0], [failed(0, '404')]),
	change('demoted', 'demote', [0], [person(phone(0))]),
	change('demoted: refused', 'demote', [0], [failed(0, '406')]),

	// ---- what a request as a whole is refused for
	...[[400, 'bad-request'], [401, 'not-authorized'], [403, 'forbidden'], [404, 'item-not-found'], [405, 'not-allowed'], [406, 'not-acceptable'],
		[419, 'resource-limit'], [423, 'locked'], [429, 'rate-overlimit'], [500, 'internal-server-error'],
		[503, 'service-unavailable'], [530, 'partial-server-error']].map((one) => refused(...one)),

	// ---- lists
	list('list: with the person', [us, person(phone(0))]),
	list('list: without the person', [us, person(phone(1))]),
	list('list: an admin', [us, person(phone(0), {type: 'admin'})]),
	list('list: hosted', [us, person(phone(0).replace('s.whatsapp.net', 'hosted'))]),
	list('list: hosted LID and phone', [usByLid, person(lid(0).replace('@', '@hosted.'), {phone_number: phone(0)})], {addressing_mode: 'lid'}),
	list('list: LID and hosted phone', [usByLid, person(lid(0), {phone_number: phone(0).replace('s.whatsapp.net', 'hosted')})], {addressing_mode: 'lid'}),
	list('list: LIDs and phones', [usByLid, person(lid(0), {phone_number: phone(0)})], {addressing_mode: 'lid'}),
	list('list: LIDs and phones, without the person', [usByLid, person(lid(1), {phone_number: phone(1)})], {addressing_mode: 'lid'}),
	list('list: LIDs alone', [person(meLid, {type: 'superadmin'}), person(lid(0))], {addressing_mode: 'lid'}),
	list('list: phones and LIDs', [person(me, {lid: meLid, type: 'superadmin'}), person(phone(0), {lid: lid(0)})]),
	list('list: one by user name alone', [us, person(undefined, {participant_username: 'somebody'})]),
	list('list: a bot', [us, person(phone(1)), person('867051314767696@bot')]),
	list('list: an unknown server', [us, person(phone(1)), person('555765@interop')]),
	list('list: two of 1000', [us, person(phone(1))], {size: '1000'}, [node('announcement'), node('default_sub_group')]),
	list('list: without us', [person(phone(1)), person(phone(2), {type: 'superadmin'})]),
	list('list: empty', []),
	list('list: all may add, admins approve', [person(me), person(phone(1), {type: 'superadmin'})], {}, [allMayAdd, approves]),
	list('list: full', [us, person(phone(1)), person(phone(2))]),

	// ---- other answers
	{name: 'groups', asks: ['groups'], said: {participating: [node('groups', {}, [...described([us, person(phone(1))]),
		...described([person(me)], {id: '120363012345678902', subject: 'Announcements', size: '1000'})])]}},
	{name: 'no groups', asks: ['groups'], said: {participating: []}},
	{name: 'created', who: [1], asks: ['create'], said: {create: described([us, person(phone(1))])}},
	{name: 'invite code', asks: ['invite'], said: {invite: [node('invite', {code: 'AbCdEfGhIjKlMnOpQrStUv'})]}},
	{name: 'no invite code', asks: ['invite'], said: {invite: []}},
	{name: 'exists', who: [0], asks: ['exists'], said: usync([user({jid: phone(0)}, contact('in'))])},
	{name: 'exists under another number', who: [0], asks: ['exists'], said: usync([user({jid: phone(1)}, contact('in'))])},
	{name: 'exists, by LID', who: [0], asks: ['exists'], said: usync([user({jid: lid(0)}, contact('in'))])},
	{name: 'exists not', who: [0], asks: ['exists'], said: usync([user({jid: phone(0)}, contact('out'))])},
	{name: 'exists not, without an id', who: [0], asks: ['exists'], said: usync([user({}, contact('out'))])},
	{name: 'exists: refused for an hour', who: [0], asks: ['exists'],
		said: usync([], [node('contact', {}, [node('error', {code: '429', backoff: '3600', text: 'rate-overlimit'})])])},
	{name: 'exists: an error for the person', who: [0], asks: ['exists'],
		said: usync([user({jid: phone(0)}, node('contact', {}, [node('error', {code: '500', text: 'internal-server-error'})]))])},
	{name: 'join requests', asks: ['requests'], said: {membership_approval_requests: [node('membership_approval_requests', {}, [
		node('membership_approval_request', {jid: lid(0), phone_number: phone(0), request_time: '1796000000', request_method: 'non_admin_add', requestor: lid(1)}),
		node('membership_approval_request', {jid: phone(2), request_time: '1796000100', request_method: 'invite_link'})])]}},
	{name: 'no join requests', asks: ['requests'], said: {membership_approval_requests: [node('membership_approval_requests')]}},

	// ---- limits of the account; only the newest Baileys asks for them
	limits('timelocked', 'timelock', 'xwa2_fetch_account_reachout_timelock',
		{is_active: true, time_enforcement_ends: '4102444800', enforcement_type: 'BIZ_QUALITY'}),
	limits('timelocked without an end', 'timelock', 'xwa2_fetch_account_reachout_timelock',
		{is_active: true, time_enforcement_ends: '0', enforcement_type: 'BIZ_QUALITY'}),
	limits('not timelocked', 'timelock', 'xwa2_fetch_account_reachout_timelock', {is_active: false}),
	limits('capped', 'capping', 'xwa2_message_capping_info',
		{capping_status: 'CAPPED', total_quota: 30, used_quota: 30, cycle_start_timestamp: '1795000000', cycle_end_timestamp: '4102444800'}),

	// ---- events; who did it is person 9
	event('added', node('add', {}, [person(phone(0))]), {participant: phone(9)}),
	event('joined by link', node('add', {reason: 'invite'}, [person(phone(0))]), {participant: phone(0)}),
	event('joined out of the community', node('add', {reason: 'linked_group_join'}, [person(phone(0))])),
	event('added in a LID group', node('add', {}, [person(lid(0), {phone_number: phone(0)})]), {participant: lid(9), participant_pn: phone(9)}),
	event('added by ourselves in a LID group', node('add', {}, [person(lid(0), {phone_number: phone(0)})]), {participant: meLid, participant_pn: me}),
	event('removed', node('remove', {}, [person(phone(0))]), {participant: phone(9)}),
	event('left', node('remove', {}, [person(phone(0))]), {participant: phone(0)}),
	event('left a LID group', node('remove', {}, [person(lid(0), {phone_number: phone(0)})]), {participant: lid(0), participant_pn: phone(0)}),
	event('left together', node('remove', {}, [person(phone(0)), person(phone(1))]), {participant: phone(0)}),
	event('promoted', node('promote', {}, [person(phone(0))]), {participant: phone(9)}),
	event('demoted', node('demote', {}, [person(phone(0))]), {participant: phone(9)}),
	event('we were demoted in a LID group', node('demote', {}, [person(meLid)]), {participant: lid(9)}),
	event('asked to join by link', node('created_membership_requests', {request_method: 'invite_link'},
		[node('requested_user', {jid: lid(0), phone_number: phone(0)})]), {participant: lid(0), participant_pn: phone(0)}),
	event('proposed by a member', node('created_membership_requests', {request_method: 'non_admin_add'},
		[node('requested_user', {jid: lid(0), phone_number: phone(0)})]), {participant: lid(9), participant_pn: phone(9)}),
	event('request revoked', node('revoked_membership_requests', {}, [person(lid(0))]), {participant: lid(0), participant_pn: phone(0)}),
	event('request rejected', node('revoked_membership_requests', {}, [person(lid(0))]), {participant: lid(9), participant_pn: phone(9)}),
	event('new link', node('invite', {code: 'AbCdEfGhIjKlMnOpQrStUv'}), {participant: phone(9)}),
	event('approval on', approves, {participant: phone(9)}),
];

// ---- whatsapp-web.js: what the page holds, and what its requests answer

const cus = (who) => phone(who).replace('s.whatsapp.net', 'c.us');
const owner = {id: me, admin: 'superadmin'};
const ownerByLid = {id: meLid, admin: 'superadmin'};
const paired = (...people) => Object.fromEntries([[meLid, me], ...people.map((one) => [lid(one), phone(one)])]);
const adding = (name, add, more = {}) => ({name, who: [0], asks: ['add'], members: [owner], said: {add}, options: {}, ...more});
const changing = (name, what, more = {}) => ({name, who: [0], asks: [what], members: [owner, {id: phone(0)}], ...more});
const shown = (name, members, more = {}) => ({name, who: [0], asks: ['group', 'participants'], members, ...more});
const gp2 = (name, subtype, recipients, author) => ({name: `event: ${name}`, asks: ['event'], members: [owner],
	event: {type: 'gp2', subtype, id: {remote: group}, t: 1796000000, author, recipients}});

const webjs = [
	adding('added', {}),
	...['401', '403', '405', '406', '408', '409', '412', '417', '419', '423', '451', '500', '999'].map((code) => adding(`the person: ${code}`, {person: code})),
	adding('the person: 404', undefined, {unregistered: [cus(0)]}),
	adding('a code for each', undefined, {who: [0, 1, 2], options: {sleep: 0}, unregistered: [cus(2)], said: {[cus(1)]: {person: '409'}}}),
	adding('an invitation card is sent', {card: true}),
	adding('an invitation card is not sent', {card: true}, {said: {add: {card: true}, cardResult: 'ERROR'}}),
	adding('request refused: 403', {client: '403'}),
	adding('request refused: 404', {client: '404'}),
	adding('request refused: 429', {client: '429'}),
	adding('request refused: 500', {server: '500'}),
	adding('request refused: 503', {server: '503'}),
	adding('connection lost', {lost: true}),
	adding('refused after a success', undefined, {who: [0, 1], options: {sleep: 0}, said: {[cus(1)]: {client: '429'}}}),
	adding('we are no admin', {}, {admin: false}),
	adding('the page does not know the members', {}, {members: undefined}),
	adding('to be approved', {person: '421'}),

	changing('removed', 'remove'),
	changing('removed: no member', 'remove', {members: [owner]}),
	changing('promoted', 'promote'),
	changing('promoted: no member', 'promote', {members: [owner]}),
	changing('demoted', 'demote'),
	changing('demoted: no member', 'demote', {members: [owner]}),

	shown('list: with the person', [owner, {id: phone(0)}]),
	shown('list: without the person', [owner, {id: phone(1)}]),
	shown('list: an admin', [owner, {id: phone(0), admin: 'admin'}]),
	shown('list: hosted', [owner, {id: phone(0).replace('s.whatsapp.net', 'hosted')}]),
	shown('list: LIDs, phones known', [ownerByLid, {id: lid(0)}], {pairs: paired(0)}),
	shown('list: LIDs, phones known, without the person', [ownerByLid, {id: lid(1)}], {pairs: paired(1)}),
	shown('list: LIDs alone', [ownerByLid, {id: lid(0)}]),
	shown('list: ids without their text', [owner, {id: phone(0)}], {bare: true}),
	shown('list: LIDs without their text', [owner, {id: lid(0)}], {bare: true}),
	shown('list: hosted LID', [owner, {id: lid(0).replace('@', '@hosted.')}]),
	shown('list: a bot', [owner, {id: phone(1)}, {id: '867051314767696@bot'}]),
	shown('list: an unknown server', [owner, {id: phone(1)}, {id: '555765@interop'}]),
	shown('list: two of 1000', [owner, {id: phone(1)}], {size: 1000}),
	shown('list: without us', [{id: phone(1)}, {id: phone(2), admin: 'superadmin'}]),
	shown('list: empty', []),
	shown('list: all may add, admins approve', [{id: me}, {id: phone(1), admin: 'superadmin'}],
		{metadata: {memberAddMode: 'all_member_add', membershipApprovalMode: true}}),
	shown('list: full', [owner, {id: phone(1)}, {id: phone(2)}]),

	{name: 'groups', asks: ['groups'], members: [owner, {id: phone(1)}]},
	{name: 'created', who: [1], asks: ['create'], said: {created: (wid) => ({wid: wid(group), subject: 'Cohort', participants: [
		{wid: wid(me), type: 'superadmin'}, {wid: wid(phone(1))}]})}},
	{name: 'not created', who: [1], asks: ['create'], said: {refused: 403}},
	{name: 'invite code', asks: ['invite'], said: {invite: {code: 'AbCdEfGhIjKlMnOpQrStUv'}}},
	{name: 'no invite code', asks: ['invite'], said: {refused: 401}},
	{name: 'exists', who: [0], asks: ['exists']},
	{name: 'exists under another number', who: [0], asks: ['exists'], said: {exists: phone(1)}},
	{name: 'exists, by LID', who: [0], asks: ['exists'], said: {exists: lid(0)}},
	{name: 'exists not', who: [0], asks: ['exists'], unregistered: [cus(0)]},
	{name: 'join requests', asks: ['requests'], said: {requests: (wid) => [
		{id: wid(lid(0)), addedBy: wid(lid(1)), parentGroupId: null, requestMethod: 'NonAdminAdd', t: 1796000000},
		{id: wid(phone(2)), addedBy: wid(phone(2)), parentGroupId: null, requestMethod: 'InviteLink', t: 1796000100}]}},
	{name: 'no join requests', asks: ['requests'], said: {requests: () => []}},

	gp2('added', 'add', [cus(0)], cus(9)),
	gp2('joined by link', 'invite', [cus(0)], cus(0)),
	gp2('joined out of the community', 'linked_group_join', [cus(0)], cus(0)),
	gp2('removed', 'remove', [cus(0)], cus(9)),
	gp2('left', 'leave', [cus(0)], cus(0)),
	gp2('promoted', 'promote', [cus(0)], cus(9)),
	gp2('demoted', 'demote', [cus(0)], cus(9)),
	gp2('asked to join', 'membership_approval_request', undefined, lid(0)),
	gp2('nobody is named', 'add', undefined, cus(9)),
];

module.exports = {group, me, meLid, phone, lid, baileys, webjs};
