/** The exported graph in ONNX Runtime Web; mirrors `sr4.runtime.onnx_backend`. */

import type * as Runtime from "onnxruntime-web/wasm";
import { Refused } from "./config";
import type { Network } from "./model";
import { Planes } from "./planes";

export type { Runtime };

const WEIGHTS = "model.safetensors"; // the name that a graph has for the file of its weights

/** The files of a model's network, as `sr4 export` wrote them. */
export interface NetworkFiles {
  readonly graph: Uint8Array;
  readonly weights: Uint8Array;
}

/** @param runtime with its `env.wasm` set, so that it finds its own file */
export async function openNetwork(runtime: typeof Runtime, files: NetworkFiles): Promise<Network> {
  const session = await runtime.InferenceSession.create(files.graph, {
    executionProviders: ["wasm"],
    externalData: [{ path: WEIGHTS, data: files.weights }],
    logSeverityLevel: 3,
  }).catch((error: unknown) => {
    throw new Refused(`ONNX Runtime cannot open the model (${said(error)}); expected an exported graph: export it again`);
  });
  return async (xT, logSnr, upsampled, known) => {
    const tensor = (values: Float32Array, ...shape: number[]) => new runtime.Tensor("float32", values, shape);
    const picture = (x: Planes) => tensor(x.data, 1, x.channels, x.height, x.width);
    const inputs: Record<string, Runtime.Tensor> = {
      x_t: picture(xT),
      log_snr: tensor(Float32Array.of(logSnr), 1),
      low_res: picture(upsampled),
    };
    if (known !== null) inputs["known"] = tensor(known, 1, known.length);
    const { output } = await session.run(inputs).catch((error: unknown) => {
      throw new Refused(`ONNX Runtime cannot draw ${xT.width}x${xT.height} pixels at once (${said(error)}): use smaller tiles`);
    });
    const [, channels = 0, height = 0, width = 0] = output?.dims ?? [];
    const made = new Planes((output?.data as Float32Array).slice(), channels, height, width);
    output?.dispose();
    return made;
  };
}

const said = (error: unknown): string => String(error instanceof Error ? error.message : error).slice(0, 200);
