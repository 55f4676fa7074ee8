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
  const { read, write } = compile(layout)
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

/** Decoding copies a template first, so that all results of a struct share one hidden class. */
function compile(layout: readonly FieldLayout[]) {
  const names: string[] = []
  const offsets: number[] = []
  const kinds: Field<unknown>[] = []
  const gaps = layout.filter((row) => row.field === null)
  for (const row of layout) {
    if (row.field === null) continue
    names.push(row.name)
    offsets.push(row.offset)
    kinds.push(row.field)
  }
  const template: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, 0]))
  return {
    read(buffer: Buffer, at: number): Record<string, unknown> {
      const value = { ...template }
      for (let index = 0; index < kinds.length; index++) {
        const kind = kinds[index] as Field<unknown>
        value[names[index] as string] = kind.read(buffer, at + (offsets[index] as number))
      }
      return value
    },
    write(buffer: Buffer, at: number, value: Readonly<Record<string, unknown>>): void {
      for (let index = 0; index < kinds.length; index++) {
        const kind = kinds[index] as Field<unknown>
        kind.write(buffer, at + (offsets[index] as number), value[names[index] as string])
      }
      for (const gap of gaps) buffer.fill(0, at + gap.offset, at + gap.offset + gap.size)
    },
  }
}
