// Digests of what independent implementations of the Encoding Standard make of every sequence of one, two and
// three bytes, for test_whatwg.py. In a folder with `npm i @exodus/bytes@1.16 text-encoding@0.7`:
//     node whatwg_digests.mjs > whatwg_digests.json
// `text-encoding` is of 2018: it gives the characters as the standard then had them, `@exodus/bytes` also how
// errors are told.
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { TextDecoder: Exodus } = require('@exodus/bytes/encoding.js');
const { TextDecoder: Older } = require('text-encoding');
const SEVERAL = ['shift_jis', 'euc-jp', 'euc-kr', 'big5', 'gb18030'];
const SINGLE = ['ibm866', 'koi8-r', 'koi8-u', 'macintosh', 'windows-874', 'x-mac-cyrillic', 'x-user-defined',
  ...[2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16].map((n) => `iso-8859-${n}`),
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => `windows-125${n}`)];
function* sequences(name) {
  for (let a = 0; a < 256; a++) yield [a];
  if (!SEVERAL.includes(name)) return;
  for (let a = 128; a < 256; a++) for (let b = 0; b < 256; b++) yield [a, b];
  if (name === 'euc-jp') for (let a = 128; a < 256; a++) for (let b = 0; b < 256; b++) yield [0x8f, a, b];
  if (name !== 'gb18030') return;
  for (const a of [0x81, 0x82, 0x83, 0x84, 0x90, 0xe3, 0xfe])
    for (let b = 0x30; b < 0x3a; b++)
      for (let c = 0x81; c < 0xff; c++) for (let d = 0x30; d < 0x3a; d++) yield [a, b, c, d];
}
function digest(Decoder, name, all) {
  const hash = crypto.createHash('sha256');
  for (const bytes of sequences(name)) {
    const text = new Decoder(name, { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    if (all || !text.includes('\ufffd')) hash.update(Buffer.from(bytes).toString('hex') + ' ' + text + '\n');
  }
  return hash.digest('hex');
}
const out = { characters: {}, errors: {} };
for (const name of [...SEVERAL, ...SINGLE]) {
  out.characters[name] = digest(Older, name, false);
  out.errors[name] = digest(Exodus, name, true);
}
console.log(JSON.stringify(out, null, 1));
