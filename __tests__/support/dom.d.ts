/** Names of the DOM in the types of playwright-core. The whole library of the DOM would also allow its names in lib/. */
interface Node {
  readonly nodeType: number
}
interface HTMLElement extends Node {
  readonly innerText: string
}
interface SVGElement extends Node {
  readonly viewportElement: SVGElement | null
}
interface HTMLElementTagNameMap {
  readonly a: HTMLElement
}
