import { EXIT } from '../exit-codes.js'
import { paint, writeLine, type Colour } from '../terminal.js'

type Severity = 'ok' | 'note' | 'warning' | 'failure'

/** The result of one check. */
export interface Finding {
  readonly check: string
  readonly severity: Severity
  /** One line; never contains the secret. */
  readonly found: string
  /** How to fix it. */
  readonly advice?: string
}

type MakeFinding = (check: string, found: string, advice?: string) => Finding

const make =
  (severity: Severity): MakeFinding =>
  (check, found, advice) => ({ check, severity, found, ...(advice !== undefined && { advice }) })

export const [ok, note, warning, failure] = [make('ok'), make('note'), make('warning'), make('failure')]

const SIGNS: Record<Severity, readonly [string, Colour]> = {
  ok: ['✓', 'green'],
  note: ['–', 'dim'],
  warning: ['!', 'yellow'],
  failure: ['✗', 'red'],
}

export function printFinding({ check, severity, found, advice }: Finding): void {
  const [sign, colour] = SIGNS[severity]
  writeLine(process.stdout, `${check.padEnd(10)} ${found}`, `${paint(sign, colour, process.stdout)} `)
  if (advice === undefined) return
  writeLine(process.stdout, advice, `${' '.repeat(13)}${paint('→', 'cyan', process.stdout)} `)
}

export function exitCodeFor(findings: readonly Finding[]): number {
  const has = (severity: Severity): boolean => findings.some(finding => finding.severity === severity)
  if (has('failure')) return EXIT.failed
  return has('warning') ? EXIT.warnings : EXIT.ok
}
