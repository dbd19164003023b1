export const SALES = [
  { month: "Jan", amount: 1200 },
  { month: "Feb", amount: 1850 },
  { month: "Mar", amount: 1640 },
  { month: "Apr", amount: 2310 },
];

export function total(sales) {
  return sales.reduce((sum, { amount }) => sum + amount, 0);
}

export function bars(sales, height) {
  const highest = Math.max(...sales.map(({ amount }) => amount));
  return sales.map(({ month, amount }) => ({ month, height: (amount / highest) * height }));
}
