const [PASSED, FAILED, NOT_CHECKED] = ['ok', 'FAILED', 'NOT CHECKED']

/** A check rejects with it if it could not find out, for example without a network. */
export class NotChecked extends Error {}

/** Runs one check, and returns its line of the report. The check returns a note, or rejects. */
export async function line(name, check) {
  const start = performance.now()
  const end = (result, note = '') => ({ name, result, note, ms: performance.now() - start })
  try {
    return end(PASSED, await check())
  } catch (error) {
    if (error instanceof NotChecked) return end(NOT_CHECKED, error.message)
    return end(FAILED, brief(error.output ?? error.stack))
  }
}

/** Shortens the output, and cuts the minified lines that Node quotes. */
function brief(text) {
  const lines = text.split('\n').map(each => each.slice(0, 300))
  return lines.slice(-60).join('\n')
}

/** Prints all lines, and the details of the failures at the end. `strict` fails also if something was not checked. */
export function report(lines, { strict = false } = {}) {
  const count = wanted => lines.filter(({ result }) => result === wanted).length
  const width = Math.max(...lines.map(({ name }) => name.length))
  for (const { name, result, note, ms } of lines) {
    const seconds = `${(ms / 1000).toFixed(1)} s`.padStart(7)
    const shown = result === FAILED ? '' : note
    console.log(`${result.padEnd(NOT_CHECKED.length)} ${name.padEnd(width)} ${seconds}  ${shown}`.trimEnd())
  }
  for (const { name, result, note } of lines) if (result === FAILED) console.log(`\nFAILED ${name}\n${note}`)
  const notChecked = count(NOT_CHECKED)
  console.log(
    `\n${count(PASSED)} passed, ${count(FAILED)} failed${notChecked > 0 ? `, ${notChecked} not checked` : ''}`,
  )
  if (count(PASSED) === 0 || count(FAILED) > 0 || (strict && notChecked > 0)) process.exitCode = 1
}
