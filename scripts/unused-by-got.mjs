// Takes the place of packages that got imports for options which this package never sets: HTTP/2, response cache, lookup
// cache, decompression, form data. They would double the chunk that is loaded at the first mint.
export default class NotBundled {
  constructor() {
    throw new Error('This feature is not part of the package.')
  }
}
export { NotBundled as CacheError, NotBundled as FormDataEncoder }
export const isFormData = () => false
