import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/not-where-pins-are
claim Even under its own write lease nobody takes away pinned bytes: EDEADLK.
rules X5 X1
file f
process writer alice

writer:  fd = open f rdwr
writer:  A = lease fd exclusive write
writer:  P = pin fd A 0..4096
writer:  ftruncate fd 4096
writer:  ftruncate fd 100 -> EDEADLK
writer:  punch fd 0..10 -> EDEADLK
told A refused by writer, A refused by writer
writer:  unpin fd P
writer:  ftruncate fd 100
`)
