import { type OneWayName, OPCODES, type OpcodeName } from '../wire/opcodes.js'
import { ATTRIBUTE_OPERATIONS } from './attributes.js'
import { CONTROL_OPERATIONS } from './control.js'
import { DIRECTORY_OPERATIONS } from './directories.js'
import { FILE_OPERATIONS } from './files.js'
import { NAME_OPERATIONS } from './names.js'
import type { Operation } from './operation.js'

/** A row of OPCODES that wants a reply and is missing here does not compile. */
const OPERATIONS: Readonly<Record<Exclude<OpcodeName, OneWayName>, Operation<unknown>>> = {
  ...NAME_OPERATIONS,
  ...FILE_OPERATIONS,
  ...ATTRIBUTE_OPERATIONS,
  ...DIRECTORY_OPERATIONS,
  ...CONTROL_OPERATIONS,
}

const BY_CODE: (Operation<unknown> | undefined)[] = []
for (const [name, operation] of Object.entries(OPERATIONS)) {
  BY_CODE[OPCODES[name as OpcodeName].code] = operation
}

/** @returns undefined for an opcode without a reply or unknown here. */
export function operationOf(opcode: number): Operation<unknown> | undefined {
  return BY_CODE[opcode]
}
