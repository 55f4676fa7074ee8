/** What the parser and the formatter of the language share: the words, and the values that are left out. */
import type { FileSpec, LeaseTerms, OpenFlag, RangeChange, Signal, User } from '../scenario.js'

export const USERS: readonly User[] = ['root', 'alice', 'bob']
export const ACCESS: readonly OpenFlag[] = ['rdonly', 'wronly', 'rdwr']
export const OPEN_FLAGS: readonly OpenFlag[] = [...ACCESS, 'trunc', 'nonblock', 'past']
export const RANGE_CHANGES: readonly RangeChange[] = [
  'punch',
  'zero',
  'collapse',
  'insert',
  'unshare',
  'write-zeroes',
]
export const SIGNALS: readonly Signal[] = ['SIGUSR1', 'SIGUSR2', 'SIGIO', 'SIGKILL', 'SIGSTOP']
export const MODES: readonly LeaseTerms['mode'][] = ['read', 'write']
export const LEVELS: readonly LeaseTerms['level'][] = ['normal', 'exclusive']
export const STATES = ['active', 'breaking', 'zombie', 'revoked'] as const

/** Everybody may read and write it, and it belongs to somebody ordinary. */
export const DEFAULT_FILE: Omit<FileSpec, 'name'> = { sizeBytes: 8192, owner: 'alice', mode: 0o666 }

/** What `told` counts unless it says `told all`: what happens to a holder, not what it does itself. */
export const TOLD_EVENTS: readonly string[] = ['break', 'refused', 'revoked', 'broken', 'zombie', 'gone']

export const EVENTS: readonly string[] = [
  ...TOLD_EVENTS,
  'granted',
  'downgraded',
  'released',
  'pinned',
  'unpinned',
]

/** Names may not be words that would be read otherwise. */
export const NAME_PATTERN = /^[A-Za-z][A-Za-z0-9_-]*$/
export const TITLE_PATTERN = /^[a-z0-9-]+\/[a-z0-9-]+$/
export const RULE_PATTERN = /^(L|B|X|P|R)\d{1,2}$/
