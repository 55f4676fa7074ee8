import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/other-owners-are-asked-first
claim An owner that changes the file waits for the lease if it has other owners, and is not signalled itself.
rules B8 B2
break-time 10000
file f
process holder alice
process friend alice

holder:  fd = open f rdwr
holder:  A = lease fd normal read
holder:  own fd A add self SIGUSR1 1
holder:  send fd to friend as g
friend:  own g A add self SIGUSR1 2
holder:  t = ftruncate fd 0 -> waits
told A break by holder, friend SIGUSR1 2
friend:  own g A remove self
t -> ok
lease A revoked
told A broken
`)
