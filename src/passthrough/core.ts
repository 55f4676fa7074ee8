/** What the parts of the passthrough file system share. */
import type { Statx } from '../linux/stat.js'
import type { BackingIds } from './backing-ids.js'
import type { BackingTree } from './backing-tree.js'
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
  /** Does the kernel say in requests which group counts (FUSE_CREATE_SUPP_GROUP)? Known after INIT. */
  saysGroups: boolean
}
