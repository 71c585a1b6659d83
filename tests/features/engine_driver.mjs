// Calls parts of the browser's engine for tests. Arguments: the bundled parts, a JSON file with
// {call, ...}, and where the answer goes, JSON too. Arrays are {shape: (C, H, W), data: base64}.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [partsPath, askedPath, answerPath] = process.argv.slice(2);
const parts = await import(pathToFileURL(partsPath));
const asked = JSON.parse(readFileSync(askedPath, "utf8"));

function planes({ shape, data }) {
  const bytes = Buffer.from(data, "base64");
  return new parts.Planes(new Float32Array(new Uint8Array(bytes).buffer), ...shape);
}

function array(found) {
  const bytes = Buffer.from(found.data.buffer, found.data.byteOffset, found.data.byteLength);
  return { shape: [found.channels, found.height, found.width], data: bytes.toString("base64") };
}

// A network of a few products, as the test has it too: 3 or 6 channels of output.
const network = (outputs) => async (x, logSnr, upsampled, known) => {
  const told = known === null ? 0 : known.reduce((sum, value, at) => sum + value * (at + 1), 0);
  const made = parts.Planes.zeros(outputs, x.height, x.width);
  const size = x.data.length;
  for (let at = 0; at < made.data.length; at += 1) {
    const [own, given] = [x.data[at % size], upsampled.data[at % size]];
    made.data[at] = (at < size ? 0.6 * own - 0.3 * given : 0.2 * given) + 0.01 * logSnr + 0.03 * told;
  }
  return made;
};

async function drawn({ config, lowRes, seed, steps, detail, tile }) {
  const read = parts.readConfig(JSON.stringify(config), "a model");
  let evaluations = 0;
  const outputs = 3 * (read.second === null ? 1 : 2);
  const model = new parts.DiffusionModel(read, network(outputs), async () => void (evaluations += 1));
  const sampling = parts.samplingOf(read, steps ?? undefined, detail ?? undefined);
  const low = planes(lowRes);
  const edge = parts.tileFor(model, low, sampling, tile ?? undefined);
  const banded = edge === 0 ? null : new parts.BandedSampling(model, low, BigInt(seed), sampling, edge);
  const bands = [];
  const told = banded?.picture((top, rows) => bands.push({ top, rows }));
  const picture = await (told ?? model.sample(low, BigInt(seed), sampling));
  if (evaluations !== (banded?.evaluations ?? sampling.steps)) throw new Error(`${evaluations} evaluations`);
  return { edge, picture: array(picture), bands: bands.map(({ top, rows }) => ({ top, rows: array(rows) })) };
}

const calls = {
  noise: ({ seed, shape, draw, start, stop }) =>
    array(new parts.PictureNoise(BigInt(seed), ...shape).rows(draw, start, stop)),
  degraded: ({ scale, x }) => array(new parts.Degradation(scale).apply(planes(x))),
  inverted: ({ scale, x }) => array(new parts.Degradation(scale).pseudoInverse(planes(x))),
  upsampled: ({ scale, x }) => array(new parts.Degradation(scale).upsample(planes(x))),
  fitted: ({ scale, x, lowRes }) => array(parts.fit(new parts.Degradation(scale), planes(x), planes(lowRes))),
  constrained: ({ scale, x, lowRes }) =>
    array(new parts.Constraint(new parts.Degradation(scale), planes(lowRes)).fit(planes(x))),
  levels: ({ steps }) => parts.reverseSteps(steps).map((one) => [one.logSnr, one.logSnrAfter]),
  sigmas: ({ levels }) => levels.map((level) => Object.values(parts.alphaSigma(level))),
  implied: ({ kind, output, x, level }) => array(parts.impliedX0(kind, planes(output), planes(x), level)),
  pixels: ({ x }) => [...parts.toPixels(planes(x)).data],
  heat: ({ samples }) => {
    const given = samples.map((one) => parts.toPixels(planes(one)));
    return [...parts.heatmap(given).data];
  },
  scores: ({ weights, pictures }) => {
    const recogniser = new parts.Recogniser(planes(weights).data);
    return pictures.map(({ data, ...size }) =>
      recogniser.score({ data: Uint8ClampedArray.from(Buffer.from(data, "base64")), ...size }),
    );
  },
  drawn,
};

let answer;
try {
  answer = { found: await calls[asked.call](asked) };
} catch (error) {
  if (!(error instanceof parts.Refused)) throw error;
  answer = { refused: error.message };
}
writeFileSync(answerPath, JSON.stringify(answer));
