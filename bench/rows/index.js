/** All rows in the order of the table. To add some, write a file beside this one and name its list here. */
import { DATA } from './data.js'
import { LEASES } from './leases.js'
import { METADATA } from './metadata.js'
import { PROGRAMS } from './programs.js'
import { TREES } from './trees.js'

/** @typedef {import('./row.js').Row} Row */

/** @type {{ theme: string, rows: Row[] }[]} */
export const THEMES = [
  { theme: 'metadata', rows: METADATA },
  { theme: 'trees', rows: TREES },
  { theme: 'programs', rows: PROGRAMS },
  { theme: 'data', rows: DATA },
  { theme: 'leases', rows: LEASES },
]

/** @type {Row[]} */
export const ROWS = THEMES.flatMap(({ rows }) => rows)
