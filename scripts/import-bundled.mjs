import { build } from 'esbuild'

/** Imports what Node cannot load as it is: TypeScript, or a package that imports JSON. `contents` is a module of this folder. */
export async function importBundled(contents, platform) {
  const stdin = { contents, resolveDir: import.meta.dirname }
  const { outputFiles } = await build({ stdin, platform, bundle: true, write: false, format: 'esm' })
  return import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`)
}
