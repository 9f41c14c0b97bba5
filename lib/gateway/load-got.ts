/**
 * got, loaded at the first mint: `import` of the package takes 17 ms instead of 115.
 *
 * A load that failed is tried again by the next call. It fails where no file can be opened, or where `node_modules` is
 * being replaced under the running process.
 */
export async function loadGot(): Promise<typeof import('got')> {
  try {
    return await import('got')
  } catch (error) {
    // Node may keep a failed `import` for good, so the copy made for `require` is loaded under a name that is new each time.
    const copy = `../../cjs/got.cjs?${performance.now()}`
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ copy).catch(() => {
      throw error
    })) as typeof import('got')
  }
}
