// Bring a part of a page up to date from the server, without moving what did not change: the focus,
// a selection, and what a person has opened stay.

/** Change `element` into `target`, node by node. */
export function morph(element, target) {
  if (element.nodeType !== target.nodeType || element.nodeName !== target.nodeName) {
    element.replaceWith(target.cloneNode(true))
    return
  }
  if (element.nodeType !== Node.ELEMENT_NODE) {
    if (element.nodeValue !== target.nodeValue) element.nodeValue = target.nodeValue
    return
  }
  if (element.dataset.key !== target.dataset.key) {
    element.replaceWith(target.cloneNode(true))
    return
  }
  copyAttributes(element, target)
  const wanted = [...target.childNodes]
  const present = [...element.childNodes]
  wanted.forEach((node, at) => {
    if (present[at]) morph(present[at], node)
    else element.append(node.cloneNode(true))
  })
  present.slice(wanted.length).forEach((node) => node.remove())
}

// What a person opened, typed or chose is theirs.
const OWN = new Set(['open', 'value', 'checked'])

function copyAttributes(element, target) {
  for (const { name, value } of [...target.attributes]) {
    if (!OWN.has(name) && element.getAttribute(name) !== value) element.setAttribute(name, value)
  }
  for (const { name } of [...element.attributes]) {
    if (!OWN.has(name) && !target.hasAttribute(name)) element.removeAttribute(name)
  }
}

/** Return a function that fetches `element.dataset.fragment` and shows it: one fetch at a time, and one
 * more after it where it was called meanwhile. `failed(status)` is called where there is no page. */
export function refresher(element, failed = () => {}) {
  let isFetching = false
  let isStale = false
  return async function refresh() {
    isStale = true
    if (isFetching || document.hidden) return
    isFetching = true
    try {
      while (isStale) {
        isStale = false
        const response = await fetch(element.dataset.fragment, {
          headers: { 'X-Requested-With': 'fetch' },
          redirect: 'manual',
          signal: AbortSignal.timeout(10_000),
        })
        // Every redirect leads to the sign-in page.
        if (response.type === 'opaqueredirect') document.getElementById('signed-out').hidden = false
        if (!response.ok) {
          failed(response.status)
          continue
        }
        const target = element.cloneNode(false)
        target.innerHTML = await response.text()
        morph(element, target)
        failed(0)
      }
    } catch {
      failed(-1)
    } finally {
      isFetching = false
    }
  }
}
