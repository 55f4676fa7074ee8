/** What the command line needs of the daemon: starting an engine, and finding those that run. */
export { KernelTooOldError } from '../fuse/index.js'
export { detachFromCaller, Engine, type EngineOptions, leaveCallersSession } from './engine.js'
export { logToKernel } from './kernel-log.js'
export { findBlindNamespaces, findHardLinks, findOpeners, findUsers, warning } from './preflight.js'
export { type FuseAbility, probeFuse } from './probe.js'
export {
  CONTROL_TYPE,
  DATA_TYPE,
  isAlive,
  isHoldfast,
  liveEngines,
  removeDead,
  runDirectory,
  withRunLock,
} from './registry.js'
