/*
 * collect.cjs OUTPUT... -- the engines' answers as lines of JSON, as test/t/200_engines.pl reads them.
 *
 * Contract: a line for each question of a case and each different answer to it: {case, ask, from: the engines that gave it,
 * who: the people asked about, and the HTTP answer: status, json or text}.
 */
const {readFileSync} = require('node:fs');

const outputs = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file)));
const cases = [...new Set(outputs.flatMap(({answers}) => answers.map((one) => one.case)))];
const lines = new Map();

for (const {engine, version, answers} of outputs)
	for (const answer of answers) {
		const key = JSON.stringify(answer);
		if (!lines.has(key))
			lines.set(key, {case: answer.case, ask: answer.ask, from: [], ...answer});
		lines.get(key).from.push(`${engine} ${version}`);
	}
const order = ({case: name, ask}) => `${String(cases.indexOf(name)).padStart(4)} ${ask}`;
const sorted = [...lines.values()].sort((a, b) => order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0);
console.log(sorted.map((line) => JSON.stringify(line)).join('\n'));
