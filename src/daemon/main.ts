/** What the command line needs of the daemon: starting an engine, and finding those that run. */
export { KernelLacksError, KernelTooOldError } from '../fuse/index.js'
export { DEFAULT_POLICY, type LeasePolicy, MAX_BREAK_TIME_MS } from '../lease/index.js'
export {
  CACHE_MODES,
  type CacheMode,
  FEATURES,
  type FeatureName,
  type Features,
} from '../passthrough/index.js'
export { Engine, type EngineOptions } from './engine.js'
export {
  findBlindNamespaces,
  findHardLinks,
  findOpeners,
  findOpenersOfCovered,
  findUsers,
  warning,
} from './mounts/preflight.js'
export { type FuseAbility, probeFuse } from './mounts/probe.js'
export {
  CONTROL_TYPE,
  DATA_TYPE,
  enginePid,
  foreignMounts,
  isAlive,
  isHoldfast,
  liveEngines,
  ownerOf,
  removeDead,
} from './places/registry.js'
export { isMakeshift, RunDirectoryError, runDirectory } from './places/run-directory.js'
export { withRunLock } from './places/run-lock.js'
export { dropStandardStreams, launcherFds, leaveLauncher, raiseFileLimit } from './process/daemonize.js'
export { logToKernel } from './reporting/kernel-log.js'
