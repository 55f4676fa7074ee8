/** What the parts of the passthrough file system share. */
import type { Statx } from '../linux/stat.js'
import type { BackingIds } from './backing-ids.js'
import type { BackingTree } from './backing-tree.js'
import type { Features } from './features.js'
import type { LayoutGate } from './gate.js'
import type { Identity } from './identity.js'
import type { IoThreads } from './io-jobs.js'
import type { OpenFiles } from './open-files.js'
import type { PassthroughOptions } from './options.js'

export interface Core {
  readonly tree: BackingTree
  readonly identity: Identity
  readonly backingIds: BackingIds
  readonly files: OpenFiles
  readonly gate: LayoutGate
  readonly io: IoThreads
  readonly options: PassthroughOptions
  /** Filled and read within one handler. */
  readonly stat: Statx
  /** What of FUSE is in use. Empty before INIT. */
  features: Features
}
