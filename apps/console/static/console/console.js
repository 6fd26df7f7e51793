// What every page of the console runs: keys of lists, and the stream that all tabs share.

import '../ui/time_zone.js';

const page = document.getElementById('console').dataset

document.querySelector('.error-summary')?.focus()

// A page with a secret answered a form: loading it again must not send the form once more.
const shownOnce = document.querySelector('[data-shown-once]')
if (shownOnce) history.replaceState(null, '', shownOnce.dataset.shownOnce)

// --- lists ----------------------------------------------------------------------------------------

for (const all of document.querySelectorAll('[data-choose-all]')) {
  const boxes = [...document.querySelectorAll(`input[name="${all.dataset.chooseAll}"]`)]
  all.addEventListener('change', () => {
    for (const box of boxes) box.checked = all.checked
  })
}

/** Move the focus between the rows' links by `j` and `k`. */
function move(step) {
  const links = [...document.querySelectorAll('[data-row] a')].filter(
    (link) => link === link.closest('[data-row]').querySelector('a'),
  )
  const row = document.activeElement?.closest('[data-row]')
  const at = row ? links.findIndex((link) => row.contains(link)) : -1
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus()
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (event.target.closest('input, select, textarea, [contenteditable]')) return
  if (event.key === 'j') move(1)
  else if (event.key === 'k') move(-1)
  else if (event.key === '/') document.getElementById('searchbar')?.focus()
  else return
  event.preventDefault()
})

// --- the stream -----------------------------------------------------------------------------------
// One tab holds it, by a lock that browsers give to one tab at a time; the others hear of changes by
// a channel. Where there are no locks, each tab has a stream of its own.

const listeners = new Set()
const channel = new BroadcastChannel('console')
channel.addEventListener('message', () => notify())

function notify() {
  for (const listener of listeners) listener()
}

/** Call back when something of the organisation may have changed, and about every two seconds. */
export function onChange(listener) {
  if (!listeners.size) navigator.locks ? navigator.locks.request('console', follow) : follow()
  listeners.add(listener)
}

function follow() {
  // It is shown by the first fetch that was led to the sign-in page.
  if (!document.getElementById('signed-out').hidden) return
  return new Promise(() => {
    const source = new EventSource(page.stream, { withCredentials: true })
    source.addEventListener('changed', () => {
      channel.postMessage('changed')
      notify()
    })
    source.addEventListener('ended', () => {
      source.close()
      setTimeout(follow, 2000)
    })
    source.addEventListener('error', () => {
      // A refused stream (signed out, say) is closed: the page's next fetch says why.
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000)
      notify()
    })
  })
}
