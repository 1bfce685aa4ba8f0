// spellings.js -- prints spellings of valid numbers of all regions, a line each: spelling, TAB, digits.
//
// For each region and each type of number that has an example, the example and numbers like it (its
// last digits drawn by a fixed sequence) that libphonenumber calls valid, each in every style people
// write.  The same version prints the same lines.
'use strict';
const lib = require('libphonenumber-js/max');
const metadata = require('libphonenumber-js/metadata.max.json');
const mobile = require('libphonenumber-js/examples.mobile.json');

const PER_REGION = 14;
let state = 20261128;
const draw = (n) => { state = (Math.imul(state, 1103515245) + 12345) >>> 0; return (state >>> 8) % n; };

function variant(national, keep) {
  return national.slice(0, keep) + Array.from(national.slice(keep), () => draw(10)).join('');
}

function valid(code, national) {
  try {
    const number = lib.parsePhoneNumber('+' + code + national);
    return number && number.isValid() && number.countryCallingCode === code ? number : null;
  } catch (e) {
    return null;
  }
}

function* numbers(region) {
  const example = lib.getExampleNumber(region, mobile);
  const code = lib.getCountryCallingCode(region);
  const seen = new Set();
  for (let i = 0; i < 600 && seen.size < PER_REGION; i++) {
    const base = example.nationalNumber;
    const number = valid(code, i === 0 ? base : variant(base, i < 300 ? Math.max(1, base.length - 7) : 0));
    if (number && !seen.has(number.number)) {
      seen.add(number.number);
      yield number;
    }
  }
}

const scripts = [0x0660, 0x06F0, 0x0966, 0xFF10];
const inScript = (text, zero) => text.replace(/\d/g, (d) => String.fromCharCode(zero + Number(d)));

function styles(number) {
  const digits = number.number.slice(1);
  const written = number.formatInternational();
  const groups = written.slice(1).split(/[^0-9]+/).filter(Boolean);
  const [code, area, ...rest] = groups;
  const out = [digits, number.number, '00' + digits, written, written.slice(1), '00 ' + written.slice(1),
    '+' + groups.join('-'), '+' + groups.join('.'), '+' + groups.join('\u00A0'), ' ' + written + ' ',
    'tel:' + number.number, number.getURI(), 'wa.me/' + digits, 'https://wa.me/' + digits + '?text=hello%20there',
    'https://api.whatsapp.com/send?phone=' + digits + '&text=hi', digits + '@c.us', digits + '@s.whatsapp.net',
    digits + ':7@s.whatsapp.net', inScript(written, scripts[draw(scripts.length)])];
  if (rest.length > 0)
    out.push(`+${code} (${area}) ${rest.join('-')}`, `+${code}-${area}-${rest.join('')}`, `+${code} ${area}/${rest.join('')}`);
  return out.map((spelling) => [spelling, digits]);
}

for (const region of lib.getCountries())
  for (const number of numbers(region))
    for (const [spelling, digits] of styles(number))
      process.stdout.write(`${spelling}\t${digits}\n`);
