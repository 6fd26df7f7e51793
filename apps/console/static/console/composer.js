// The composer: the server checks the contract while it is typed, and says how a program sends it.

import { morph } from './swap.js';

const PAUSE_MS = 350

const form = document.getElementById('composer')
const text = document.getElementById('contract')
const result = document.getElementById('composer-result')
const token = form.querySelector('[name=csrfmiddlewaretoken]').value
let timer = 0
let latest = 0

text.addEventListener('input', () => {
  clearTimeout(timer)
  timer = setTimeout(check, PAUSE_MS)
})

async function check() {
  const number = ++latest
  const body = new URLSearchParams({ text: text.value, csrfmiddlewaretoken: token })
  try {
    const answer = await fetch(form.dataset.check, { method: 'POST', body, redirect: 'manual', signal: AbortSignal.timeout(10_000) })
    if (answer.type === 'opaqueredirect') return location.reload()
    if (!answer.ok) throw new Error(String(answer.status))
    const target = result.cloneNode(false)
    target.innerHTML = await answer.text()
    // An earlier answer may come late.
    if (number === latest) morph(result, target)
  } catch {
    if (number === latest) document.getElementById('problems-title').textContent = form.dataset.failed
  }
}

result.addEventListener('click', async (event) => {
  const line = Number(event.target.closest('[data-line]')?.dataset.line)
  if (line) select(line)
  const copy = event.target.closest('#copy-curl')
  if (!copy) return
  await navigator.clipboard.writeText(document.getElementById('curl').textContent)
  copy.textContent = copy.dataset.done
})

/** Choose a line of the contract, and bring it into view. */
function select(line) {
  const lines = text.value.split('\n')
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0)
  text.focus()
  text.setSelectionRange(start, start + lines[line - 1].length)
  text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight))
}

// What was typed is not lost by a step back or a closed tab.
const first = text.value
let isSent = false
form.addEventListener('submit', () => (isSent = true))
addEventListener('beforeunload', (event) => {
  if (!isSent && text.value !== first) event.preventDefault()
})
