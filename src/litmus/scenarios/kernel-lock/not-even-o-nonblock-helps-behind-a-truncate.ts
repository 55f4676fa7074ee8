import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/not-even-o-nonblock-helps-behind-a-truncate
claim A truncate with O_NONBLOCK that comes while another one waits is kept in the kernel, and told nothing.
rules B4 B6
break-time 10000
file f
process holder alice
process first bob
process second bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
second:  g = open f rdwr nonblock
first:   t = truncate f 4096 -> waits
second:  u = ftruncate g 0 -> waits
holder:  release fd A
t -> ok
u -> ok
holder:  read fd 0 1 -> ok 0
`)
