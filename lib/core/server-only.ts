import { VKitConfigError } from './errors.js'

/** The error of the client in a browser, and of the file that bundlers use instead of the client. */
export function browserRefusal(): VKitConfigError {
  return new VKitConfigError(
    'VKitClient runs on your server. In a browser the app secret would be public. Bundle for an edge runtime with its condition, workerd or edge-light.',
  )
}

/** jsdom has a window too, but it runs on Node. */
export function refuseBrowser(): void {
  const { process } = globalThis as { readonly process?: { readonly versions?: object } }
  const inNode = typeof process?.versions === 'object' && 'node' in process.versions
  if (!inNode && 'window' in globalThis) throw browserRefusal()
}
