#!/usr/bin/env bash
# What was believed: behind a country code a 0 is a trunk prefix written by mistake, as in +44 (0)20, and may be
#   removed from a contact list; Italy's landlines were believed to be the only exception.
# What is true: in Benin, Congo, Cote d'Ivoire and Gabon even mobile numbers begin with a 0 that belongs to the number.
#   Without it three of them become invalid, and the Gabonese one stays a valid number: another one. In more than a
#   hundred other regions the 0 does have to go, so that there is no rule without the numbering plan.
# Version: libphonenumber-js 1.13.16 (npm), full metadata, with the package's own example numbers.
# Why it matters: people are added to groups by number. A cleaned list adds a stranger, or nobody, and no error says so.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --prefix "$dir" --no-audit --no-fund --loglevel=error libphonenumber-js@1.13.16 >"$dir/npm.log" 2>&1 ||
	{ cat "$dir/npm.log"; exit 1; }

cat >"$dir/run.cjs" <<'EOF'
const lib = require('libphonenumber-js/max');
const examples = require('libphonenumber-js/examples.mobile.json');

const belongs = [];			// regions whose example begins with a 0 of its own
const dropped = [];			// regions where the library itself drops a 0 behind the code
for (const region of lib.getCountries()) {
	const example = lib.getExampleNumber(region, examples);
	if (!example)
		continue;
	const code = example.countryCallingCode, national = String(example.nationalNumber);
	if (national.startsWith('0')) {
		const without = lib.parsePhoneNumberFromString(`+${code}${national.slice(1)}`);
		belongs.push({region, code, digits: national.length, valid: example.isValid(),
			without: Boolean(without && without.isValid())});
	} else {
		const withZero = lib.parsePhoneNumberFromString(`+${code}0${national}`);
		if (withZero && withZero.number === example.number)
			dropped.push(region);
	}
}

console.log(`libphonenumber-js ${require('libphonenumber-js/package.json').version}`);
console.log('Mobile numbers that begin with a 0 behind the country code, and what is left without it:');
for (const b of belongs)
	console.log(`  ${b.region} +${b.code}: ${b.digits} digits with the 0, ${b.valid ? 'valid' : 'invalid'}; ` +
		`without it ${b.without ? 'valid, and another number' : 'invalid'}`);
console.log(`Regions in which the library drops a 0 typed behind the country code: ${dropped.length}, GB ` +
	`${dropped.includes('GB') ? 'among them' : 'not among them'}`);

const seen = belongs.map((b) => `${b.region}:${b.valid}:${b.without}`).join(' ');
const same = seen === 'BJ:true:false CG:true:false CI:true:false GA:true:true' &&
	dropped.length > 100 && dropped.includes('GB');
console.log(same ? 'As described above.' : `CHANGED: ${seen}`);
process.exit(same ? 0 : 1);
EOF
node "$dir/run.cjs"
