// Keep the board's figures up to date.

import { onChange } from './console.js';
import { refresher } from './swap.js';

const board = document.getElementById('board')
const stale = document.getElementById('stale')
const refresh = refresher(board, (status) => {
  stale.hidden = status === 0
})

onChange(refresh)
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh()
})
