import { play } from '../../language/index.js'

export const scenario = play(`
scenario opt-in/reading-and-writing-are-no-layout-changes
claim Under an exclusive lease of somebody else, bytes are written, read, copied and added as before.
rules L1 X1
file f
file g
process holder alice
process other bob

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
other:   w = open f rdwr
other:   write w 0 100 -> ok 100
other:   write w 8192 100 -> ok 100
other:   read w 0 4096 -> ok 4096 data
other:   truncate f 20000
other:   allocate w 0..30000
other:   s = open g rdonly
other:   copy s 0 to w 0 4096 -> ok 4096
told nothing
`)
