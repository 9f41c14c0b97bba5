import { readBlocks } from './markdown.js'

/** Returns a function that a block of a page declares, so that it can be tested with other arguments. */
export async function readFunction<T>(page: string, name: string): Promise<T> {
  const declaration = new RegExp(`^function ${name}\\(.*?^}`, 'ms')
  const [code] = readBlocks(page).flatMap(block => declaration.exec(block.code) ?? [])
  if (code === undefined) throw new Error(`${page} has no function ${name}`)
  const module = (await import(`data:text/javascript,${encodeURIComponent(`export default ${code}`)}`)) as {
    default: T
  }
  return module.default
}
