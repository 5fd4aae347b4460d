// The page's state in one place. Who shows a part of it names the parts, and is called when one of them changes.

export function makeStore(state) {
  const listeners = [];
  return {
    state,
    on(keys, show) {
      listeners.push({ keys, show });
      show(state);
    },
    set(changes) {
      const changed = Object.keys(changes).filter((key) => state[key] !== changes[key]);
      Object.assign(state, changes);
      for (const { keys, show } of listeners) {
        if (keys.some((key) => changed.includes(key))) show(state);
      }
    },
  };
}
