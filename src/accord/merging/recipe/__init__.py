"""Recipes: merges written down as YAML, in mergekit's format and a little more."""

from accord.merging.recipe.job import Job, begin_job, merge_recipe
from accord.merging.recipe.plan import RecipePlan, plan_recipe
from accord.merging.recipe.read import read_recipes
from accord.merging.recipe.schema import Recipe

__all__ = ["Job", "Recipe", "RecipePlan", "begin_job", "merge_recipe", "plan_recipe", "read_recipes"]
