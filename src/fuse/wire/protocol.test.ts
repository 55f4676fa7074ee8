/** The declarations against the kernel's own table, in both directions. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as flags from './flags.js'
import { OPCODES } from './opcodes.js'
import type { Struct } from './struct.js'
import * as structs from './structs.js'

interface FieldRow {
  name: string
  type: string
  offset: number
  size: number
}

interface ProtocolTable {
  protocol: string
  opcodes: Record<string, number>
  notifyCodes: Record<string, number>
  initFlags: Record<string, { value: string; bit: number; word: 'flags' | 'flags2' }>
  openFlags: Record<string, number>
  setattrValid: Record<string, number>
  otherFlags: Record<string, number | string>
  deviceIoctls: Record<string, string>
  structs: Record<string, { size: number; fields: FieldRow[] }>
}

const table = JSON.parse(
  readFileSync(new URL('../../../test/data/fuse-protocol.json', import.meta.url), 'utf8'),
) as ProtocolTable

type Declared = Pick<Struct, 'name' | 'size' | 'layout'>
/** Some are read in two ways, as their fields have several meanings. */
const declared = new Map<string, Declared[]>()
for (const struct of Object.values<Declared>(structs)) {
  declared.set(struct.name, [...(declared.get(struct.name) ?? []), struct])
}

/** Constants that the table does not list, each with the place in fuse.h that has them. */
const NOT_IN_TABLE: Record<string, string> = {
  FUSE_MAX_NR_SECCTX: 'enum fuse_ext_type; the table has no enums but opcodes and notify codes',
  FUSE_EXT_GROUPS: 'enum fuse_ext_type',
  FUSE_INVALID_UIDGID: 'a macro with a cast above struct fuse_in_header',
  OLDEST_MINOR_VERSION: 'our own choice',
}

/** Every exported constant by name, groups opened. */
function allConstants(): Map<string, number | bigint> {
  const constants = new Map<string, number | bigint>()
  for (const [name, value] of Object.entries(flags)) {
    if (typeof value === 'object') for (const [key, bit] of Object.entries(value)) constants.set(key, bit)
    else constants.set(name, value)
  }
  return constants
}

describe('protocol table: structs', () => {
  test('the same structs are declared', () => {
    expect([...declared.keys()].sort()).toEqual(Object.keys(table.structs).sort())
  })

  for (const [name, row] of Object.entries(table.structs)) {
    test(`${name} has the size, names, offsets and sizes of the table`, () => {
      const fields = row.fields.map(({ name, offset, size }) => ({ name, offset, size }))
      const found = declared.get(name)?.map(({ size, layout }) => ({
        size,
        fields: layout.map(({ name, offset, size }) => ({ name, offset, size })),
      }))
      expect(found).toEqual(found?.map(() => ({ size: row.size, fields })))
    })

    test(`${name} reads 64-bit and 32-bit integers as such, and nests the struct that the table names`, () => {
      for (const field of (declared.get(name) ?? []).flatMap(({ layout }) => layout)) {
        const type = row.fields.find((candidate) => candidate.name === field.name)?.type ?? ''
        if (field.field === null) continue
        if ('name' in field.field) {
          // The table calls the type of these fields fuse_sxime; fuse.h says struct fuse_sx_time.
          expect(field.field.name).toBe(type.replace('fuse_sxime', 'fuse_sx_time'))
          continue
        }
        expect(field.field.size * 8).toBe(Number(type.replace(/^u?int/, '')))
      }
    })
  }
})

describe('protocol table: numbers', () => {
  test('opcodes are the same', () => {
    const codes = Object.entries(OPCODES).map(([name, row]) => [`FUSE_${name}`, row.code])
    expect(Object.fromEntries(codes)).toEqual(table.opcodes)
  })

  test('opcodes are no newer than the protocol', () => {
    for (const row of Object.values(OPCODES)) {
      expect(row.minorVersion).toBeLessThanOrEqual(flags.FUSE_KERNEL_MINOR_VERSION)
    }
    expect(table.protocol).toBe(`${flags.FUSE_KERNEL_VERSION}.${flags.FUSE_KERNEL_MINOR_VERSION}`)
  })

  test('every constant of the table is declared with its value', () => {
    const constants = allConstants()
    const rows: [string, number | string][] = [
      ...Object.entries(table.notifyCodes),
      ...Object.entries(table.openFlags),
      ...Object.entries(table.setattrValid),
      ...Object.entries(table.otherFlags),
      ...Object.entries(table.deviceIoctls),
      ...Object.entries(table.initFlags).map(([name, row]): [string, string] => [name, row.value]),
    ]
    for (const [name, value] of rows) {
      const constant = constants.get(name)
      expect(constant === undefined ? undefined : BigInt(constant), name).toBe(BigInt(value))
    }
  })

  test('every constant that is declared is in the table, or has a reason not to be', () => {
    const known = new Set([
      ...Object.keys(table.notifyCodes),
      ...Object.keys(table.openFlags),
      ...Object.keys(table.setattrValid),
      ...Object.keys(table.otherFlags),
      ...Object.keys(table.deviceIoctls),
      ...Object.keys(table.initFlags),
    ])
    const extra = [...allConstants().keys()].filter((name) => !known.has(name))
    expect(extra.sort()).toEqual(Object.keys(NOT_IN_TABLE).sort())
  })

  test('INIT flags are in the word that the table says', () => {
    for (const [name, row] of Object.entries(table.initFlags)) {
      expect(row.word, name).toBe(row.bit < 32 ? 'flags' : 'flags2')
      expect(1n << BigInt(row.bit), name).toBe(BigInt(row.value))
    }
  })
})
