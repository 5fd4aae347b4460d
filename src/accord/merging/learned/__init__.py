"""Merging that learns from data of every task: coefficients, masks, routers, small layers, students."""
