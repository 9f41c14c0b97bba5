import { permissionFlag } from './permission-flag.js'

/**
 * Loads a part of the package that is not needed at once. After a failure, the next call loads it again.
 *
 * A load fails if Node can open no more files, or if `node_modules` is being replaced under the running process. `file`
 * is the file that the build creates for it.
 */
export async function loadChunk<T>(load: () => Promise<T>, file: string): Promise<T> {
  try {
    return await load()
  } catch (error) {
    // A permission is never granted later, and Node would keep an entry for each new name.
    if (permissionFlag(error, '--allow-fs-read') !== undefined) throw error
    // Node may cache a failed `import` permanently, so the file is loaded under a new name every time.
    const chunk = `./${file}?${performance.now()}`
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ chunk).catch(() => {
      throw error
    })) as T
  }
}
