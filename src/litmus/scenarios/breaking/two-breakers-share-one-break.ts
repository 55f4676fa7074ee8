import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/two-breakers-share-one-break
claim A second breaker joins the break that is under way: the owners are told once, the deadline stays.
rules B2 B4
break-time 10000
file f
process holder alice
process first bob
process second bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
holder:  own fd A add self SIGUSR1 1
first:   a = open f rdwr trunc -> waits
told A break by first, holder SIGUSR1 1
second:  b = open f rdwr trunc -> waits
told nothing
holder:  release fd A
a -> ok
b -> ok
`)
