import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-holder-that-exits-while-it-is-told
claim A holder that exits instead of answering has answered.
rules B3 L7
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   own fd A add self SIGUSR1 4
breaker:  t = truncate f 0 -> waits
told A break by breaker, holder SIGUSR1 4
holder:   exit
t -> ok
lease A none
`)
