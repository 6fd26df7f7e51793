// Pages of webhooks: parts that follow the stream, the live log, and a form's fields by its choice.

import { onChange } from './console.js';
import { refresher } from './swap.js';

for (const part of document.querySelectorAll('[data-fragment]')) onChange(refresher(part))

document.getElementById('created')?.focus()

// --- credentials: the fields of the chosen kind ---------------------------------------------------

const kind = document.getElementById('id_auth_type')

function showFields() {
  for (const part of document.querySelectorAll('[data-for-auth]')) {
    part.hidden = !part.dataset.forAuth.split(' ').includes(kind.value)
  }
}

if (kind) {
  kind.addEventListener('change', showFields)
  showFields()
}

// --- the live log ---------------------------------------------------------------------------------
// Rows never move. What changed in a row is shown in it; new ones are counted until they are asked for.

const SECONDS_BETWEEN = 3

const bar = document.getElementById('live')

if (bar) {
  const show = bar.querySelector('[data-show]')
  const toggle = bar.querySelector('[data-toggle]')
  const state = bar.querySelector('[data-state]')
  const live = state.textContent
  let isPaused = false
  let isFetching = false
  let lookedAt = Date.now()

  const addressOf = (row) => row.querySelector('a').href

  async function look() {
    if (isPaused || isFetching || document.hidden) return
    if (Date.now() - lookedAt < SECONDS_BETWEEN * 1000) return
    isFetching = true
    try {
      const response = await fetch(location.href, { signal: AbortSignal.timeout(10_000) })
      if (!response.ok || response.redirected) throw new Error(`status ${response.status}`)
      const page = new DOMParser().parseFromString(await response.text(), 'text/html')
      if (!isPaused) {
        compare(page)
        state.textContent = live
      }
    } catch {
      state.textContent = bar.dataset.lost
    } finally {
      lookedAt = Date.now()
      isFetching = false
    }
  }

  function compare(page) {
    const present = new Map(
      [...document.querySelectorAll('[data-row]')].map((row) => [addressOf(row), row]),
    )
    let count = 0
    for (const row of page.querySelectorAll('[data-row]')) {
      const own = present.get(addressOf(row))
      if (own) updateCells(own, row)
      else count += 1
    }
    show.hidden = !count
    show.textContent = bar.dataset.new.replace('{count}', count)
  }

  function updateCells(own, row) {
    for (const cell of own.children) {
      const other = [...row.children].find((one) => one.className === cell.className)
      const isOurs = cell.querySelector('input, a')
      if (!isOurs && other && cell.innerHTML !== other.innerHTML) cell.innerHTML = other.innerHTML
    }
  }

  toggle.addEventListener('click', () => {
    isPaused = !isPaused
    toggle.textContent = isPaused ? bar.dataset.follow : bar.dataset.pause
    bar.classList.toggle('paused', isPaused)
    state.hidden = isPaused
    lookedAt = 0
    look()
  })
  bar.hidden = false
  onChange(look)
}
