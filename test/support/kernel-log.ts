/** What engines have to say of themselves: they have no terminal, so it is in the kernel's log. */
import { statusMounts } from './listing.js'
import type { Sandbox } from './sandbox.js'

/** Lines that the engines of the sandbox wrote about failures of their own; empty is as it should be. */
export async function engineFailures(box: Sandbox): Promise<string[]> {
  const engines = (await statusMounts(box)).map((row) => `holdfast[${(row.engine as { pid: number }).pid}]`)
  if (engines.length === 0) throw new Error('there is no engine to ask about')
  const log = await box.must('dmesg')
  return log.split('\n').filter((line) => engines.some((engine) => line.includes(engine)))
}
