// SPDX-License-Identifier: Apache-2.0
// decode.js CODESTREAM SAMPLES
// Decodes an HTJ2K codestream as web viewers do, by @cornerstonejs/codec-openjph, and prints what it
// says of the image as one JSON object.
"use strict";
const fs = require("fs");
const openjph = require("@cornerstonejs/codec-openjph/wasmjs");

const [from, to] = process.argv.slice(2);
openjph().then((codec) => {
  const decoder = new codec.HTJ2KDecoder();
  const codestream = fs.readFileSync(from);
  decoder.getEncodedBuffer(codestream.length).set(codestream);
  decoder.decode();
  fs.writeFileSync(to, decoder.getDecodedBuffer());
  process.stdout.write(JSON.stringify(decoder.getFrameInfo()));
});
