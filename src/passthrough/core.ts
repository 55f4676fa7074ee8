/** What the parts of the passthrough file system share. */
import type { Statx } from '../linux/stat.js'
import type { BackingIds } from './backing-ids.js'
import type { Features } from './features.js'
import type { LayoutGate } from './gate.js'
import type { BackingTree } from './inodes/backing-tree.js'
import type { Calls } from './io/calls.js'
import type { OpenFiles } from './open-files.js'
import type { PassthroughOptions } from './options.js'

export interface Core {
  readonly tree: BackingTree
  readonly backingIds: BackingIds
  readonly files: OpenFiles
  readonly gate: LayoutGate
  readonly calls: Calls
  readonly options: PassthroughOptions
  /** What the last job has found out about a file. */
  readonly stat: Statx
  /** What of FUSE is in use. Empty before INIT. */
  features: Features
}
