import { play } from '../../language/index.js'

export const scenario = play(`
scenario lifetime/a-mapping-left-behind
claim As long as an owner maps leased bytes, the lease outlives the last descriptor.
rules L7
question The descriptor is closed but the file is still mapped: is it still protected?
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   m = map fd
holder:   close fd
breaker:  truncate f 0 -> ETXTBSY
holder:   touch m 0 -> ok data
lease A active owners holder
holder:   unmap m
lease A none
breaker:  truncate f 0
`)
