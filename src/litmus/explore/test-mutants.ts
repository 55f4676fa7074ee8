/** Copies of the rules with one line replaced, so that they are wrong in one point, to see whether that is noticed. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import type { LeasePolicy, LeaseRules } from '../../lease/index.js'
import { assert } from '../../lib/assert.js'
import type { RuleName } from '../scenario.js'

type CreateRules = (policy: LeasePolicy) => LeaseRules

export interface Mutant {
  /** Of src/lease. */
  readonly file: string
  /** Part of one line; it must be there exactly once. */
  readonly line: string
  readonly replacement: string
  /** What is wrong with it. */
  readonly what: string
  /** The rule that is broken by it. */
  readonly rule: RuleName
  /** The scenario of which some order shows it; else random histories do. */
  readonly shownBy?: string
}

const LEASE = fileURLToPath(new URL('../../lease/', import.meta.url))

/** @param mutant null: a copy that is as it should be. */
export async function loadRules(mutant: Mutant | null): Promise<CreateRules> {
  const path = mutant === null ? null : `${LEASE}${mutant.file}`
  const bundle = await rolldown({
    input: `${LEASE}index.ts`,
    plugins: [
      {
        name: 'mutant',
        transform: (code, id) => (mutant === null || id !== path ? null : mutated(code, mutant)),
      },
    ],
  })
  const { output } = await bundle.generate({ format: 'esm' })
  await bundle.close()
  const source = Buffer.from(output[0].code).toString('base64')
  const module: unknown = await import(/* @vite-ignore */ `data:text/javascript;base64,${source}`)
  assert(isRulesModule(module), 'the copy of the rules has no createLeaseRules')
  return module.createLeaseRules
}

export function sourceOf(mutant: Mutant): string {
  return readFileSync(`${LEASE}${mutant.file}`, 'utf8')
}

function mutated(code: string, { line, replacement }: Mutant): string {
  assert(code.split(line).length === 2, `'${line}' is not there exactly once`)
  return code.replace(line, () => replacement)
}

function isRulesModule(module: unknown): module is { createLeaseRules: CreateRules } {
  return typeof module === 'object' && module !== null && 'createLeaseRules' in module
}
