import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/many-breakers-in-order
claim Breakers of one file go ahead in the order they came, the last one last.
rules B4
break-time 10000
file f
process holder alice
process first bob
process second bob
process third bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
first:   a = truncate f 4096 -> waits
second:  b = truncate f 3000 -> waits
third:   c = truncate f 2000 -> waits
told A break by first
holder:  release fd A
a -> ok
b -> ok
c -> ok
holder:  read fd 0 8192 -> ok 2000 data
`)
