/** All parts of the engine by name, for the tests that hold them against Python's numbers. */

export * from "./config";
export * from "./constraint";
export * from "./degradation";
export * from "./fit";
export * from "./heatmap";
export * from "./model";
export * from "./noise";
export * from "./pixels";
export * from "./planes";
export * from "./recogniser";
export * from "./schedule";
export * from "./target";
export * from "./tiles";
export * from "./network";
