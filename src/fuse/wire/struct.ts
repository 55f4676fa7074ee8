import { assert } from '../../lib/assert.js'
import { ProtocolError } from './errors.js'
import type { Field, Gap } from './fields.js'

type Fields = Readonly<Record<string, Field<unknown> | Gap>>

/** What a struct decodes to: every field but the padding. */
export type Decoded<F extends Fields> = {
  -readonly [K in keyof F as F[K] extends Gap ? never : K]: F[K] extends Field<infer T> ? T : never
}

/** The type that `struct` decodes to and encodes from: `Values<typeof openIn>`. */
export type Values<S> = S extends Struct<infer F> ? Decoded<F> : never

export interface FieldLayout {
  readonly name: string
  readonly offset: number
  readonly size: number
  /** Null for padding. */
  readonly field: Field<unknown> | null
}

/** A struct of the protocol. It is also a field, so that structs nest. */
export interface Struct<F extends Fields = Fields> extends Field<Decoded<F>> {
  readonly name: string
  /** Offsets in bytes by field name: what hot decoders read with, so that no offset is written twice. */
  readonly at: { readonly [K in keyof F]: number }
  readonly layout: readonly FieldLayout[]
  /** @param end Where the message ends. @throws ProtocolError if the struct does not fit before it. */
  decode(buffer: Buffer, at?: number, end?: number): Decoded<F>
  /** A new buffer of exactly `size` bytes, padding zero. @throws RangeError if a value does not fit its field. */
  encode(value: Decoded<F>): Buffer
}

/**
 * Declares a struct as the C compiler lays it out: each field at a multiple of its own alignment.
 * @throws AssertionError at load if the fields leave holes or do not add up to `size` bytes, so that a typing
 *   mistake cannot survive the first import.
 */
export function struct<F extends Fields>(name: string, size: number, fields: F): Struct<F> {
  const layout: FieldLayout[] = []
  let offset = 0
  let align = 1
  for (const [fieldName, field] of Object.entries(fields)) {
    assert(offset % field.align === 0, `${name}.${fieldName} is not aligned at byte ${offset}`)
    layout.push({ name: fieldName, offset, size: field.size, field: 'gap' in field ? null : field })
    offset += field.size
    align = Math.max(align, field.align)
  }
  assert(offset === size, `the fields of ${name} take ${offset} bytes, not ${size}`)
  const at = Object.fromEntries(layout.map((row) => [row.name, row.offset]))
  const { read, write } = lazily(layout)
  return {
    name,
    size,
    align,
    layout,
    at: at as Struct<F>['at'],
    read: read as (buffer: Buffer, at: number) => Decoded<F>,
    write,
    decode(buffer, start = 0, end = buffer.length) {
      if (start + size > end) throw new ProtocolError(`${name} needs ${size} bytes, there are ${end - start}`)
      return read(buffer, start) as Decoded<F>
    },
    encode(value) {
      const buffer = Buffer.alloc(size)
      write(buffer, 0, value)
      return buffer
    },
  }
}

type Read = (buffer: Buffer, at: number) => Record<string, unknown>
type Write = (buffer: Buffer, at: number, value: Readonly<Record<string, unknown>>) => void

/**
 * Straight-line code for one struct, made when it is first needed. A loop over the fields would be one place in
 * which all structs meet, and there V8 can neither inline a read nor keep the shape of the result: a fifth of
 * what a request costs.
 */
function compile(layout: readonly FieldLayout[]): { read: Read; write: Write } {
  const fields = layout.filter((row) => row.field !== null)
  const reads = fields.map((row, index) => `${row.name}: k${index}.read(b, at + ${row.offset})`)
  const writes = fields.map((row, index) => `k${index}.write(b, at + ${row.offset}, v.${row.name})`)
  const gaps = layout.filter((row) => row.field === null)
  const fills = gaps.map((row) => `b.fill(0, at + ${row.offset}, at + ${row.offset + row.size})`)
  const body = `return {
    read: (b, at) => ({ ${reads.join(', ')} }),
    write: (b, at, v) => { ${[...writes, ...fills].join('; ')} },
  }`
  // Only names and numbers of our own declarations stand in the code.
  // oxlint-disable-next-line typescript/no-implied-eval -- see above
  const make = new Function(...fields.map((_, index) => `k${index}`), body)
  return make(...fields.map((row) => row.field)) as { read: Read; write: Write }
}

function lazily(layout: readonly FieldLayout[]): { read: Read; write: Write } {
  let code: { read: Read; write: Write } | null = null
  return {
    read(buffer, at) {
      code ??= compile(layout)
      return code.read(buffer, at)
    },
    write(buffer, at, value) {
      code ??= compile(layout)
      code.write(buffer, at, value)
    },
  }
}
