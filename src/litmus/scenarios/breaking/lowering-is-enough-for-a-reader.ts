import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/lowering-is-enough-for-a-reader
claim Who wants a read lease is answered by lowering the write lease to read.
rules B3 L4
break-time 10000
file f
process writer alice
process reader bob

writer:  w = open f rdwr
writer:  W = lease w normal write
reader:  r = open f rdwr
reader:  R = lease r normal read wait -> waits
told W break by reader
writer:  change w W normal read
R -> ok
lease W active normal read
writer:  poll w -> ok nothing
`)
